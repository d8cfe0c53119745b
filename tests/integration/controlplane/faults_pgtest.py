"""Parts that die and come back, and clients that speak no protocol."""

import concurrent.futures
import http.client
import os
import signal
import socket
import time
import unittest

from devtools.process import PATIENCE_S
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
        wait_until(lambda: self.plane.status("/readyz") == 200, "ready again")
        self.owner.get("/v1/clusters")
        node.beat()
        wait_until(lambda: self.owner.get(f"/v1/nodes/{node.id}")["presence"] == "online", "online")
        self.assertTrue(self.owner.get(f"/v1/clusters/{node.cluster}/audit-events/verify")["valid"])

    def test_postgres_is_back_for_all_connections_at_once(self):
        """Ready is ready: no connection of the pool holds its own outage against a request after that."""
        for _ in range(5):
            self.plane.postgres.kill9()
            self.assertEqual(self.plane.status("/readyz"), 503)
            self.plane.postgres.start()
            wait_until(lambda: self.plane.status("/readyz") == 200, "ready again")
            self.assertEqual([self.owner.raw("GET", "/v1/clusters")[0] for _ in range(24)], [200] * 24)

    def test_a_commit_that_is_lost_is_not_done_again(self):
        """The server dies while it commits: whether it was done is not known, so it is said and not tried again."""
        self.owner.get("/v1/clusters")
        self.plane.admin_sql("""
            create sequence tries; grant all on sequence tries to rap_app;
            create function die() returns trigger language plpgsql as
              $$ begin perform nextval('tries'); perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
            create constraint trigger die after insert on organizations deferrable initially deferred
              for each row execute function die()""")
        try:
            problem = self.refused(503, "unavailable", self.owner.post, "/v1/organizations", {"name": "x", "slug": "doubt"})
        finally:
            self.plane.admin_sql("drop trigger die on organizations")
        self.assertIn("not known whether it was done", problem["detail"])
        self.assertEqual(self.plane.admin_sql("select last_value, is_called from tries"), "1|t")
        self.owner.get("/v1/clusters")

    def test_a_heartbeat_that_cannot_be_stored_takes_no_other_with_it(self):
        nodes = [self.node(self.cluster()) for _ in range(3)]
        beat = lambda node: node.beat(**({"sent_at": "0000-01-01T00:00:00Z"} if node is nodes[1] else {}))
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(beat, nodes))
        for node in (nodes[0], nodes[2]):
            wait_until(lambda: self.owner.get(f"/v1/nodes/{node.id}")["heartbeat"], "heartbeat")
        self.assertIsNone(self.owner.get(f"/v1/nodes/{nodes[1].id}")["heartbeat"])

    def test_redis_flushed_and_killed(self):
        node = self.node(self.cluster())
        node.beat()
        self.plane.redis.flush()
        node.beat()
        self.plane.redis.kill9()
        wait_until(lambda: self.plane.api().get("/readyz")["status"] == "degraded", "degraded")
        node.beat()
        self.plane.login()
        self.plane.redis.start()
        wait_until(lambda: self.plane.api().get("/readyz")["status"] == "ready", "ready")

    def test_redis_that_hangs_counts_as_away(self):
        """Its kernel goes on accepting connections and bytes; nobody must wait for an answer again and again."""
        os.kill(self.plane.redis.process.pid, signal.SIGSTOP)
        try:
            self.plane.login()
            wait_until(lambda: self.plane.api().get("/readyz")["status"] == "degraded", "degraded")
            time.sleep(1)  # it has tried to connect again by now
            self.assertEqual(self.plane.api().get("/readyz")["status"], "degraded")
        finally:
            os.kill(self.plane.redis.process.pid, signal.SIGCONT)
        wait_until(lambda: self.plane.api().get("/readyz")["status"] == "ready", "ready")

    def test_metrics_are_told_only_where_the_configuration_says(self):
        """The API, which everybody reaches, has none; the listener for them has nothing else and only loopback."""
        self.assertEqual(self.plane.api().raw("GET", "/metrics")[0], 404)
        self.assertIn("rap_redis_connected", self.plane.metrics())
        for method, path in (("GET", "/livez"), ("GET", "/v1/clusters"), ("POST", "/metrics"), ("GET", "/metrics/x")):
            connection = http.client.HTTPConnection("127.0.0.1", self.plane.metrics_port, timeout=PATIENCE_S)
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
                s = socket.create_connection(("127.0.0.1", self.plane.port), PATIENCE_S)
                s.send(os.urandom(64) if i % 3 else b"GET / HTTP/1.1\r\n\r\n")
                held.append(s)
            for s in held:
                s.close()
        self.owner.get("/v1/clusters")
        wait_until(lambda: self.plane.metrics()["rap_http_handshakes_failed"] >= GARBAGE * 0.99, "all of them seen")
        self.assertEqual(self.plane.process.pid, before)
        wait_until(lambda: len(os.listdir(f"/proc/{before}/fd")) < 200, "the descriptors to be closed")

    def test_heartbeats_of_a_clock_that_was_ahead_do_not_block_later_ones(self):
        node = self.node(self.cluster())
        load = lambda: (self.owner.get(f"/v1/nodes/{node.id}")["heartbeat"] or {"load": {}})["load"].get("cpu")
        node.beat()
        wait_until(lambda: load() == 1, "the first heartbeat")
        self.plane.admin_sql("update node_heartbeat_latest set received_at = now() + interval '2 hours' "
                             f"where node_id = '{node.id}'")
        node.beat(load={"cpu": 7, "memory_used_kb": 1, "memory_total_kb": 2})
        wait_until(lambda: load() == 7, "the heartbeat after the clock was set right")

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
        for node in nodes:
            beat = wait_until(lambda: self.owner.get(f"/v1/nodes/{node.id}")["heartbeat"], "heartbeat")
            self.assertEqual(beat["load"]["cpu"], 1)
        logged = self.plane.admin_sql("select count(*) from node_heartbeats")
        self.assertGreaterEqual(int(logged), 3)


if __name__ == "__main__":
    unittest.main()
