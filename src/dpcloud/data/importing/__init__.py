"""`dpcloud data import`: the owner's files of every habit, as one Parquet file that `dpcloud run` reads.

    command.py   the words of the command line
    table.py     the way: files → records → spool → what each column is → Parquet
    files.py     which files, what they are by their names, how they are opened
    text.py      CSV and its like: encoding, separator, the line with the names, records
    json_lines.py, excel.py   records of the other kinds
    spool.py     records as text in a private folder, with the file and line of each
    cells.py     what a cell can be, as patterns and SQL
    columns.py   what a column is, decided over all of its cells
    screen.py    what is printed

This is the owner's act, before any question: it reads everything, and a refusal may quote a cell and its place. It
still prints no count, mean or extreme. Nothing of it travels to a cluster.
"""
