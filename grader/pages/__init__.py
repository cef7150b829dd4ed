"""The handouts as one static site: Markdown and figures drawn from real runs to HTML and PDF.

figures.py makes runs and draws; markdown.py turns a text into HTML; site.py puts
the pages together and checks every link; pdf.py prints them; cites.py says whether
what a text cites is in the source.  `python3 -m grader.pages` does all of it.
"""
