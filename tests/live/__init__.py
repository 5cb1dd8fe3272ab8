"""Live video without Home Assistant: real encoders, real sockets, real readers."""
