"""Parts that die and come back, and clients that speak no protocol."""

import http.client
import os
import signal
import socket
import time
import unittest

from tests.integration.controlplane.harness import PlaneTest, wait_until

GARBAGE = 10_000


class Faults(PlaneTest):
    def test_postgres_killed_and_back(self):
        node = self.node(self.cluster())
        self.plane.postgres.kill9()
        status, headers, _ = self.owner.raw("GET", "/v1/clusters")
        self.assertEqual(status, 503)
        self.assertIn("retry-after", headers)
        self.assertEqual(self.plane.status("/readyz"), 503)
        self.assertEqual(self.plane.status("/livez"), 200)
        self.plane.postgres.start()
        wait_until(lambda: self.plane.status("/readyz") == 200, 20, "ready again")
        self.owner.get("/v1/clusters")
        node.beat()
        wait_until(lambda: self.owner.get(f"/v1/nodes/{node.id}")["presence"] == "online", 10, "online")
        self.assertTrue(self.owner.get(f"/v1/clusters/{node.cluster}/audit-events/verify")["valid"])

    def test_redis_flushed_and_killed(self):
        node = self.node(self.cluster())
        node.beat()
        self.plane.redis.flush()
        node.beat()
        self.plane.redis.kill9()
        wait_until(lambda: self.plane.api().get("/readyz")["status"] == "degraded", 10, "degraded")
        node.beat()
        self.plane.login()
        self.plane.redis.start()
        wait_until(lambda: self.plane.api().get("/readyz")["status"] == "ready", 15, "ready")

    def test_redis_that_hangs_counts_as_away(self):
        """Its kernel goes on accepting connections and bytes; nobody must wait for an answer again and again."""
        os.kill(self.plane.redis.process.pid, signal.SIGSTOP)
        try:
            self.plane.login()
            wait_until(lambda: self.plane.api().get("/readyz")["status"] == "degraded", 5, "degraded")
            time.sleep(1)  # it has tried to connect again by now
            self.assertEqual(self.plane.api().get("/readyz")["status"], "degraded")
        finally:
            os.kill(self.plane.redis.process.pid, signal.SIGCONT)
        wait_until(lambda: self.plane.api().get("/readyz")["status"] == "ready", 15, "ready")

    def test_metrics_are_told_only_where_the_configuration_says(self):
        """The API, which everybody reaches, has none; the listener for them has nothing else and only loopback."""
        self.assertEqual(self.plane.api().raw("GET", "/metrics")[0], 404)
        self.assertIn("rap_redis_connected", self.plane.metrics())
        for method, path in (("GET", "/livez"), ("GET", "/v1/clusters"), ("POST", "/metrics"), ("GET", "/metrics/x")):
            connection = http.client.HTTPConnection("127.0.0.1", self.plane.metrics_port, timeout=10)
            connection.request(method, path)
            self.assertEqual(connection.getresponse().status, 404, path)
            connection.close()
        with socket.socket() as elsewhere:  # Linux answers for all of 127/8, so a wildcard would be found
            self.assertNotEqual(elsewhere.connect_ex(("127.0.0.2", self.plane.metrics_port)), 0)

    def test_ten_thousand_garbage_connections(self):
        before = self.plane.process.pid
        for batch in range(GARBAGE // 100):
            held = []
            for i in range(100):
                s = socket.create_connection(("127.0.0.1", self.plane.port), 10)
                s.send(os.urandom(64) if i % 3 else b"GET / HTTP/1.1\r\n\r\n")
                held.append(s)
            for s in held:
                s.close()
        self.owner.get("/v1/clusters")
        self.assertGreaterEqual(self.plane.metrics()["rap_http_handshakes_failed"], GARBAGE * 0.99)
        self.assertEqual(self.plane.process.pid, before)
        descriptors = len(os.listdir(f"/proc/{before}/fd"))
        self.assertLess(descriptors, 200)

    def test_heartbeats_of_a_clock_that_was_ahead_do_not_block_later_ones(self):
        node = self.node(self.cluster())
        load = lambda: (self.owner.get(f"/v1/nodes/{node.id}")["heartbeat"] or {"load": {}})["load"].get("cpu")
        node.beat()
        wait_until(lambda: load() == 1, 5, "the first heartbeat")
        self.plane.admin_sql("update node_heartbeat_latest set received_at = now() + interval '2 hours' "
                             f"where node_id = '{node.id}'")
        node.beat(load={"cpu": 7, "memory_used_kb": 1, "memory_total_kb": 2})
        wait_until(lambda: load() == 7, 5, "the heartbeat after the clock was set right")

    def test_edited_migration_is_refused(self):
        import subprocess
        from tests.integration.controlplane.harness import BINARIES
        migrate = lambda: subprocess.run([BINARIES / "rap-control-plane", "migrate", "--config", self.plane.config],
                                         capture_output=True, text=True)
        self.assertEqual(migrate().returncode, 0)
        self.plane.admin_sql("update schema_migrations set sha256 = '\\x00' || substr(sha256, 2) where version = 2")
        done = migrate()
        self.assertEqual(done.returncode, 1)
        self.assertIn("was edited", done.stderr)
        serve = subprocess.run([BINARIES / "rap-control-plane", "serve", "--config", self.plane.config],
                               capture_output=True, text=True)
        self.assertIn("was edited", serve.stderr)

    def test_heartbeats_of_many_nodes_arrive(self):
        nodes = [self.node(self.cluster()) for _ in range(3)]
        for _ in range(5):
            for node in nodes:
                node.beat()
        time.sleep(0.5)
        for node in nodes:
            self.assertEqual(self.owner.get(f"/v1/nodes/{node.id}")["heartbeat"]["load"]["cpu"], 1)
        logged = self.plane.admin_sql("select count(*) from node_heartbeats")
        self.assertGreaterEqual(int(logged), 3)


if __name__ == "__main__":
    unittest.main()
