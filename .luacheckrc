std = "lua54"
read_globals = { "sd" }
max_line_length = 80
files["tests"] = { max_line_length = 100, ignore = { "4.1", "431" } }
