std = "lua54"
read_globals = { "sd" }
max_line_length = 80
