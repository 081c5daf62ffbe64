"""The store of one machine: an SQLite database and a folder of files, which the processes of a service share."""
