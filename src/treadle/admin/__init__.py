"""The admin page: what operators see and do in a browser. HTML from the server; nothing here is needed elsewhere."""
