"""How it moves: directions, speeds, waves, and how far each place has come after t frames."""
