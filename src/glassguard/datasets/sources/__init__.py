"""Sources of pictures, one module each; ``data.source`` is the name of the module.

Each module has a class ``Pictures`` with the source's settings, which reads its pictures. A source
that downloads pictures has a class ``Fetch`` as well.
"""
