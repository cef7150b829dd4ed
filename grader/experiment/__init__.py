"""The experiment of lab 3: three schedulers compared in the vocabulary of the 2007 paper.

`make experiment` simulates and runs (simulate.py, live.py), measures (measure.py,
studies.py), and leaves tables, plots and one page (plots.py, page.py).  All numbers are
the kit's own; the paper's are not quoted.
"""
