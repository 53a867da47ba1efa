"""Model families behind one interface: load, layer lists, quantisation sites, students."""
