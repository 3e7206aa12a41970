"""The ways in of the platforms that run a script for us: from the words that they hand on to one job.

A platform is a file here (what its arguments are called) and entry scripts of a dozen lines in a folder of its own.
"""
