std = "lua54"
max_line_length = 120
files["tests/**/*_spec.lua"] = { std = "lua54+busted" }
unused_args = false
files["tests/run.lua"] = { globals = { "arg" } }
ignore = { "581" } -- not (x > y) is how a NaN is refused
