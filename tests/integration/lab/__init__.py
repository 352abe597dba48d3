"""The laboratory: a HeNB, a SeGW and all that stands between them, inside tests/integration/world.

Everything here runs as root of a world that ends with the test run, so the fixtures stop what they
start only to be quick and tidy; nothing outlives the world.
"""
