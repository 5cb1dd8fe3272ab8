"""From a TCP connection to whole WebSocket messages: listener, socket, frame reader."""
