"""Picture files taken apart, one module for each format.

PNG, JPEG and WebP files are reduced to what their pixels need before a decoder sees them. So no
text, profile, preview or later frame, however large or broken, costs a picture. BMP files are
decoded here.
"""
