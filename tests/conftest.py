"""Here so that every test finds the helpers beside it (`conversation.py`), whatever folder it is in."""
