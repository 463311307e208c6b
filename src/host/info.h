/* saddle --info: what this binary found itself running on. */
#ifndef SD_HOST_INFO_H
#define SD_HOST_INFO_H

void host_info_print(void);

#endif
