"""From raw collections and folders to the images that a network sees."""
