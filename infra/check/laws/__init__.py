"""What no schema knows: laws over the objects of a render, pure functions without files or tools."""
