"""Verbs of the command line that are more than a few lines, a file each; ``cli.py`` loads one when it is used."""
