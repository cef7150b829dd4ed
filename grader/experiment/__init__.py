"""The experiments: lab 3's compares schedulers, lab 4's shadow and nested paging.

`make experiment` simulates and runs (simulate.py, live.py), measures (measure.py,
studies.py), and leaves tables, plots and one page (plots.py, page.py), in the vocabulary of
the 2007 paper.  `make experiment LAB=4` measures two ways to virtualize memory on a guest that
changes its tables more and more often (churn.py, churn_plot.py).  All numbers are the kit's
own.
"""
