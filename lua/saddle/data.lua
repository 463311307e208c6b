local data={digits=require"saddle.data.digits"}
return data
