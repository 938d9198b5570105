"""Sources of pictures, one module each; ``data.source`` is the name of the module.

A module has a class ``Pictures``: its settings, and how its pictures are read. One whose pictures
are downloaded has a class ``Fetch`` as well.
"""
