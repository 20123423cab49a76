"""What the pages of the documentation include: numbers, figures and output, each from a real run.

``python -m docs.make`` writes ``docs/generated``; nothing in there is typed in by hand. One module a kind of
page; each has one function that takes the folder to write to.
"""
