"""The HTTP and websocket server."""
