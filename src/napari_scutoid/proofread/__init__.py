"""Correcting a segmentation by hand: edits that know their inverse, a journal that loses none, and what to look at.

`change` is what an edit does to the labels; `scene` what an edit sees; `edits` plans changes; `session` applies them,
undoes them and writes them to the `journal`. Nothing here knows Qt.
"""
