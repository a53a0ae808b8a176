"""stylecine behind an HTTP interface: scenes, edits, live packs, animations. Work is done in processes of its own."""
