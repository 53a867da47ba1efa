"""The storage folder: its layout, writing into it whole or not at all, who holds what."""
