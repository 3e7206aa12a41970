"""The settings of a deployment, each checked where it is declared (standard library only: `dpcloud cost` reads them).

app.py has the whole "dp" block of cdk.json, the other modules the blocks in it; offers.py is what AWS offers.
"""
