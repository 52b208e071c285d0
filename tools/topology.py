"""Several servers that belong together: watched by Sentinels, or a cluster. A `Lab` starts and stops them."""

import hashlib

from redisserver import LabError, Redis, ReplyError, wait_until

SLOTS = 16384


def union_digest(servers):
    """DEBUG DIGEST of all that the servers hold together; of several, database 0 only."""
    digests = [server.digest() for server in servers]
    if len(digests) == 1:
        return digests[0]
    # Redis src/debug.c: the digest of a database is a constant of its number, XORed with each key's.
    constant = int.from_bytes(hashlib.sha1(hashlib.sha1(bytes(4)).digest()).digest())
    union = constant
    for text in digests:
        if int(text, 16):
            union ^= int(text, 16) ^ constant
    return f"{union:040x}"


class Sentinels:
    """Sentinels that watch one primary under a name, and know its replicas and each other."""

    def __init__(self, lab, primary, count=3, name="lab-cache", password=None, down_after=1000,
                 certificate=None):
        self.name = name
        self.tls = certificate is not None
        self.nodes = []
        replicas = int(primary.field("connected_slaves"))
        for _ in range(count):
            folder = lab.dir("sentinel")
            config = folder / "sentinel.conf"
            config.write_text(f"sentinel monitor {name} 127.0.0.1 {primary.port} {count // 2 + 1}\n"
                              f"sentinel down-after-milliseconds {name} {down_after}\n"
                              f"sentinel failover-timeout {name} 5000\n"
                              + (f"sentinel auth-pass {name} {password}\n" if password else ""))
            node = Redis(folder, sentinel=config, certificate=certificate)
            lab.callback(node.stop)
            self.nodes.append(node)
        for node in self.nodes:
            wait_until(lambda node=node: self._knows(node, replicas), 60, "the Sentinels to find each other")

    def _knows(self, node, replicas):
        fields = node.call("SENTINEL", "master", self.name)
        fields = dict(zip(fields[::2], fields[1::2]))
        return (int(fields[b"num-other-sentinels"]) == len(self.nodes) - 1
                and int(fields[b"num-slaves"]) >= replicas)

    @property
    def url(self):
        """The address as `keystow instance add` takes it."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"{'rediss' if self.tls else 'redis'}-sentinel://{hosts}/{self.name}"

    def primary_port(self):
        """The port of the primary, as the first Sentinel that still runs has it."""
        node = next(node for node in self.nodes if node.process.poll() is None)
        return int(node.call("SENTINEL", "get-master-addr-by-name", self.name)[1])

    def fail_over(self):
        """Make another server the primary; its port."""
        before = self.primary_port()
        wait_until(self._begin, 60, "Sentinel to begin a fail-over", pause=0.5)
        return wait_until(lambda: (now := self.primary_port()) != before and now, 60, "the fail-over")

    def _begin(self):
        try:
            return self.nodes[0].call("SENTINEL", "failover", self.name)
        except ReplyError:
            return False


class Cluster:
    """A cluster; its first `shards` nodes are the primaries, in the order of their slots."""

    def __init__(self, lab, *options, shards=3, replicas=1, version=None, certificate=None):
        self.shards = shards
        self.tls = certificate is not None
        self.nodes = [lab.redis("--cluster-announce-ip", "127.0.0.1", *options, version=version,
                                certificate=certificate, cluster=True) for _ in range(shards * (1 + replicas))]
        first = self.nodes[0]
        for at, node in enumerate(self.nodes):
            node.call("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
            if at < shards:
                low, high = self.slots(at)
                node.call("CLUSTER", "ADDSLOTS", *range(low, high + 1))
            if at:
                node.call("CLUSTER", "MEET", "127.0.0.1", first.port, self._bus(first))
        self._wait(lambda node: self._info(node, "cluster_known_nodes") == str(len(self.nodes)), "to meet")
        for at, node in enumerate(self.nodes[shards:]):
            primary = self.id(self.nodes[at % shards])
            wait_until(lambda node=node, id=primary: self._replicate(node, id), 60, "a replica to be told")
        self._wait(lambda node: self._info(node, "cluster_state") == "ok", "to be well")
        for node in self.nodes[shards:]:
            wait_until(lambda node=node: node.field("master_link_status") == "up", 60, "a replica's link")
        everything = {str(node.port) for node in self.nodes[shards:]}
        self._wait(lambda node: everything <= self._replicas_known(node), "to know its replicas")

    def slots(self, shard):
        """The first and last slot of a shard."""
        return SLOTS * shard // self.shards, SLOTS * (shard + 1) // self.shards - 1

    def id(self, node):
        """A node's id in the cluster."""
        return node.call("CLUSTER", "MYID").decode()

    @property
    def primaries(self):
        """The nodes that were made primaries."""
        return self.nodes[:self.shards]

    @property
    def url(self):
        """The address as `keystow instance add` takes it."""
        scheme = "rediss-cluster" if self.tls else "redis-cluster"
        return f"{scheme}://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[:2])}"

    def move(self, slots, source, target):
        """Give slots, with their keys, from one node to another, one by one as redis-cli does."""
        for slot in slots:
            target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
            source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(target))
            while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
                source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for node in (target, source):
                node.call("CLUSTER", "SETSLOT", slot, "NODE", self.id(target))

    def set(self, key, value):
        """Set a key, at whichever node has its slot."""
        for node in self.nodes:
            try:
                return node.call("SET", key, value)
            except ReplyError as error:
                if not str(error).startswith("MOVED"):
                    raise
        raise LabError(f"no node takes {key}")

    def _wait(self, condition, what):
        for node in self.nodes:
            wait_until(lambda node=node: condition(node), 60, f"the cluster {what}")

    @staticmethod
    def _bus(node):
        """The port of a node's bus."""
        return node.call("CLUSTER", "NODES").decode().split("@")[1].split(" ")[0].split(",")[0]

    @staticmethod
    def _info(node, name):
        lines = node.call("CLUSTER", "INFO").decode().split("\r\n")
        return next(line.partition(":")[2] for line in lines if line.startswith(f"{name}:"))

    @staticmethod
    def _replicas_known(node):
        """The ports of the replicas that CLUSTER SLOTS lists."""
        return {str(replica[1]) for entry in node.call("CLUSTER", "SLOTS") for replica in entry[3:]}

    @staticmethod
    def _replicate(node, primary):
        try:
            return node.call("CLUSTER", "REPLICATE", primary)
        except ReplyError:
            return False
