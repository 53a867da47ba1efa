"""Model families behind one interface: load, layer lists, quantization sites, students."""
