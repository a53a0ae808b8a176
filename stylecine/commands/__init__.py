"""The commands of `stylecine`, a file each: `add_to` says what it takes, `run` does it."""
