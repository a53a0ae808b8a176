"""A page that explains a loop: what was predicted and how surely, what was measured, and what to do about it.

`evidence` collects it, `advice` says what to do, and `page` shows everything in one HTML file.
"""
