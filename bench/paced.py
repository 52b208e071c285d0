"""A client that GETs keys at an even pace until its standard input speaks, then prints the p99 in milliseconds.

Usage: paced.py PORT GETS_PER_SECOND KEYS. A process of its own, so that what measures does not wait for what is measured.
"""

import json
import random
import socket
import statistics
import sys
import threading
import time


def main(port, rate, keys):
    """Each GET is due at its own moment whether or not the one before has come back: waiting is not hidden."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    replies = connection.makefile("rb")
    chance, waits = random.Random(5), []
    began = time.monotonic()
    while not stop.is_set():
        due = began + len(waits) / rate
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        key = b"key:%08d" % chance.randrange(keys)
        connection.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key))
        replies.read(int(replies.readline()[1:]) + 2)
        waits.append((time.monotonic() - due) * 1000)
    print(json.dumps(statistics.quantiles(waits, n=100)[98]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
