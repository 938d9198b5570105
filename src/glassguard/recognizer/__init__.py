"""The face recognizer: a VGG-16 whose convolutions are pretrained on other people."""
