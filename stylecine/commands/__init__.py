"""The commands of `stylecine`, a file each: its docstring is the help, `add_arguments` what it takes, `run` does it."""
