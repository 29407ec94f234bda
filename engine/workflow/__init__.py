"""Written workflows in every form they come in, read into prompts."""
