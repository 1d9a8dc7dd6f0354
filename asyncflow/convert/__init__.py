"""Foreign workflow formats to definitions, and definitions to other engines' subsets.

Pure functions from data to data; files are read and written by the caller. One module per format.
"""
