"""How each API speaks: pure codecs, and the one transport that touches a socket."""
