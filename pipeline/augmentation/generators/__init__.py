"""What makes new texts of others, each in a file of its own; `text_generator` makes a generator of any of them."""
