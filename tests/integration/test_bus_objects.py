"""What stands on the bus for those who watch: objects, properties and totals, and who may call what."""

import re
from pathlib import Path

from jeepney import DBusAddress, HeaderFields, MatchRule, new_signal

from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.handclient import HandClient
from lab.network import HENB, HENB_IPV4, INNER_IPV4, SEGW
from lab.pki import HENB_NAME, SEGW_NAME
from lab.process import run, wait_until
from lab.programs import CLIENT, CLIENT_PATH, EXCHANGE, MANAGER, TRED, TRED_PATH, Operator
from lab.traffic import INTERFACE, ping

ROOT = Path(__file__).resolve().parents[2]
OBJECTS, MANAGER_OF_OBJECTS = "/org/tred", "org.freedesktop.DBus.ObjectManager"
ERROR = "org.freedesktop.DBus.Error."
USERS = ("root", "henb-ike", "tred", "nobody")
USER_PLANE = {"data-plane": {"mode": "user"}}
# ESP of an SPI that nobody has given out, to an address and port.
_STRANGE_ESP = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(bytes.fromhex("0000100100000001"), (sys.argv[1], int(sys.argv[2])))
"""
# Whoever may call a method of org.tred.TrE1.Manager, as the man page has it.
ALLOWED = {"BeginExchange": {"henb-ike"}, "BeginExchangeWith": {"henb-ike"}, "OpenChannel": {"henb-ike"}, "Reload": {"root"},
           "InstallAnchors": {"root"}}


def methods(interface):
    text = (ROOT / "dbus" / f"{interface}.xml").read_text()
    return re.findall(r'<method name="(\w+)"', text)


class BusTest(LabTest):
    def connection(self, user):
        connection = Connection(user)
        self.addCleanup(connection.close)
        return connection

    def error_of(self, user, destination, path, interface, method):
        """The error that a call without arguments ends with: (name, text)."""
        try:
            self.connection(user).call(destination, path, interface, method)
        except BusError as error:
            return error.name.removeprefix(ERROR), error.text
        return "", ""

    def objects(self, connection, name=TRED):
        found, = connection.call(name, OBJECTS, MANAGER_OF_OBJECTS, "GetManagedObjects")
        return {path: {key: value for known in interfaces.values() for key, (_, value) in known.items()}
                for path, interfaces in found.items()}


class ObjectManagerTest(BusTest):
    def test_any_user_finds_both_services_with_all_their_properties(self):
        self.establish()
        for user in USERS:
            tre = self.objects(self.connection(user))[TRED_PATH]
            self.assertEqual((tre["Identity"], tre["SegwIdentity"]), (HENB_NAME, SEGW_NAME))
            client = self.objects(self.connection(user), CLIENT)[CLIENT_PATH]
            self.assertEqual((client["State"], client["SegwIdentity"]), ("established", SEGW_NAME))

    def test_an_exchange_is_shown_to_its_owner_alone(self):
        self.start_segw()
        self.start_tred()
        hand = self.starting(HandClient().until("begin"))
        self.assertEqual(self.objects(hand.bus)[hand.exchange]["State"], "begun")
        for user in USERS:
            shown = self.objects(self.connection(user))
            self.assertIn(TRED_PATH, shown)
            self.assertFalse([path for path in shown if "/exchange/" in path], user)

    def test_each_owner_is_shown_its_own_exchanges_and_no_others(self):
        self.start_segw()
        self.start_tred()
        hands = [self.starting(HandClient().until("begin")) for _ in range(2)]
        for hand in hands:
            shown = [path for path in self.objects(hand.bus) if "/exchange/" in path]
            self.assertEqual(shown, [hand.exchange])

    def watching(self, connection):
        """A function that returns the next signal of an object manager to the connection: (member, path, what it says)."""
        queue = self.enterContext(connection.connection.filter(MatchRule(type="signal", interface=MANAGER_OF_OBJECTS)))

        def next_signal():
            message = connection.connection.recv_until_filtered(queue, timeout=60)
            return (message.header.fields[HeaderFields.member], *message.body)
        return next_signal

    def test_the_owner_alone_is_told_that_an_exchange_has_come_and_gone(self):
        self.start_segw()
        self.start_tred()
        others = [self.connection(user) for user in USERS]
        for other in others:
            other.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s",
                       f"type='signal',interface='{MANAGER_OF_OBJECTS}'")
        told = [self.watching(other) for other in others]
        hand = self.starting(HandClient())
        owner_told = self.watching(hand.bus)
        hand.begin()
        member, path, interfaces = owner_told()
        self.assertEqual((member, path), ("InterfacesAdded", hand.exchange))
        known, = self.connection("nobody").call(TRED, path, "org.freedesktop.DBus.Properties", "GetAll", "s", EXCHANGE)
        self.assertEqual(interfaces, {EXCHANGE: known})
        self.assertEqual(known["State"], ("s", "begun"))
        hand.call("Close")
        self.assertEqual(owner_told(), ("InterfacesRemoved", path, [EXCHANGE]))
        # What is sent after those two is the first that others hear of.
        hand.bus.connection.send(new_signal(DBusAddress("/end", interface=MANAGER_OF_OBJECTS), "InterfacesRemoved", "oas",
                                            ("/end", [])))
        for other_told in told:
            self.assertEqual(other_told(), ("InterfacesRemoved", "/end", []))

    def test_the_owner_is_told_of_a_fork_and_of_what_tred_closes(self):
        self.start_segw()
        tred = self.start_tred()
        hand = self.starting(HandClient())
        told = self.watching(hand.bus)
        hand.until("agree")
        self.assertEqual(told()[:2], ("InterfacesAdded", hand.exchange))
        fork = hand.fork()
        self.assertEqual(told()[:2], ("InterfacesAdded", fork.exchange))
        tred.stop()
        self.assertEqual({told()[:2] for _ in range(2)},
                         {("InterfacesRemoved", hand.exchange), ("InterfacesRemoved", fork.exchange)})


class CallersTest(BusTest):
    def setUp(self):
        super().setUp()
        self.start_segw()
        self.start_tred()
        self.start_client().wait_for_state("established")

    def test_a_method_that_there_is_not_is_answered_with_its_name(self):
        for user, destination, path, interface, method in (
                ("root", TRED, TRED_PATH, MANAGER, "Relod"),
                ("henb-ike", TRED, TRED_PATH, MANAGER, "BeginExchang"),
                ("henb-ike", TRED, TRED_PATH, EXCHANGE, "Agre"),
                ("root", CLIENT, CLIENT_PATH, CLIENT, "Conect"),
                ("nobody", TRED, OBJECTS, MANAGER_OF_OBJECTS, "GetManagedObject"),
                ("nobody", TRED, TRED_PATH, "org.freedesktop.DBus.Properties", "GetEverything")):
            name, text = self.error_of(user, destination, path, interface, method)
            self.assertEqual(name, "UnknownMethod", f"{user} {method}: {text}")
            self.assertIn(method, text)

    def test_each_method_is_refused_to_each_user_but_those_that_the_man_page_names(self):
        self.assertEqual(set(methods(MANAGER)), set(ALLOWED))
        for user in USERS:
            for method in methods(MANAGER):
                name, text = self.error_of(user, TRED, TRED_PATH, MANAGER, method)
                self.assertEqual(name == "AccessDenied", user not in ALLOWED[method],
                                 f"{user} {method}: {name}: {text}")
            for method in methods(EXCHANGE):
                name, text = self.error_of(user, TRED, f"{TRED_PATH}/exchange/1", EXCHANGE, method)
                self.assertEqual(name == "AccessDenied", user != "henb-ike", f"{user} {method}: {text}")
            for method in ("Connect", "Disconnect"):
                if user != "root":
                    name, text = self.error_of(user, CLIENT, CLIENT_PATH, CLIENT, method)
                    self.assertEqual(name, "AccessDenied", f"{user} {method}: {text}")

    def test_a_call_without_an_interface_is_refused_to_everybody(self):
        for user in USERS:
            for method in methods(MANAGER):
                self.assertEqual(self.error_of(user, TRED, TRED_PATH, None, method)[0], "AccessDenied",
                                 f"{user} {method}")


class PropertiesTest(BusTest):
    def test_the_client_says_since_when_with_what_and_by_which_steps(self):
        _, _, client = self.establish(child={"request-address": "ipv4"})
        now = int(run(["date", "+%s"]).stdout)
        self.assertLessEqual(abs(now - client.get("EstablishedSince")), 60)
        steps = client.get("Steps")
        self.assertEqual([step[2] for step in steps], [1, 2, 3, 4, 5, 6])
        self.assertEqual(steps[0][3:6], ("IKE_SA_INIT request", HENB_NAME, SEGW_NAME))
        self.assertEqual(steps[5][3:6], ("TrE's check of the SeGW", HENB_NAME, ""))
        self.assertEqual(sorted(step[1] for step in steps), [step[1] for step in steps])
        exchange = self.connection("nobody").get(TRED, client.get("Exchange"), EXCHANGE, "PeerIdentity")
        self.assertEqual(exchange, SEGW_NAME)

    def test_step_7_stands_with_the_steps_of_the_connection_that_replaced_the_other(self):
        gateway, _, client = self.establish()
        operator = self.starting(Operator())
        operator.call("Connect")
        gateway.wait_for(r"IKE_SA henb\[2\] established")
        wait_until(lambda: [step[2] for step in client.get("Steps")] == [1, 2, 3, 4, 5, 6, 7], "step 7")
        self.assertEqual(dict(client.get("Totals")), {"Attempts": 2, "Established": 2, "Failures": 0, "Losses": 0})

    def test_a_rekeyed_ike_sa_is_another_exchange_and_the_same_connection(self):
        gateway, _, client = self.establish()
        first, since = client.get("Exchange"), client.get("EstablishedSince")
        operator = self.starting(Operator())
        operator.call("RekeyIkeSa")
        wait_until(lambda: client.get("Exchange") not in (first, "/"), "the other exchange")
        gateway.wait_for(r"IKE_SA henb\[2\] (established|rekeyed)")
        self.assertEqual((client.get("EstablishedSince"), client.get("State")), (since, "established"))
        # The SeGW deletes it in step 7, which stands with the connection that replaces it.
        operator.call("Connect")
        wait_until(lambda: [step[2] for step in client.get("Steps")] == [1, 2, 3, 4, 5, 6, 7], "step 7")

    def test_nothing_is_claimed_of_a_connection_that_is_no_more(self):
        _, _, client = self.establish()
        self.starting(Operator()).call("Disconnect")
        client.wait_for_state("idle")
        self.assertEqual((client.get("Exchange"), client.get("EstablishedSince")), ("/", 0))

    def test_certificates_say_when_they_expire(self):
        _, tred, client = self.establish()
        device = run(["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in",
                      self.world.device("ecdsa-p256") / "device.crt"]).stdout
        ends = run(["date", "-d", device.strip().removeprefix("notAfter="), "+%s"]).stdout
        self.assertEqual(tred.get("CertificateExpires"), int(ends))
        peer = self.connection("nobody").get(TRED, client.get("Exchange"), EXCHANGE, "PeerCertificateExpires")
        self.assertGreater(peer, tred.get("LastKnownTime"))

    def test_a_failed_attempt_says_when_the_next_one_is_due(self):
        self.start_tred()
        client = self.start_client(connection={"reconnect": "yes", "retransmit-timeout": "50",
                                               "retransmit-tries": "2"})
        # The first waits are short.
        client.wait_for_state("waiting")
        wait_until(lambda: client.get("NextAttempt") > 0, "the next attempt's time")
        self.assertGreaterEqual(client.get("Totals")["Failures"], 1)


class TotalsTest(BusTest):
    def test_the_totals_keep_what_child_sas_have_counted_that_are_no_more(self):
        _, tred, client = self.establish(tred=USER_PLANE, child={"request-address": "ipv4"})
        self.assertEqual(ping(HENB, INNER_IPV4, count=5), 5)
        (child,) = tred.children()
        before = tred.get("Totals")
        self.assertEqual((before["PacketsOut"], before["BytesOut"]), (child["PacketsOut"], child["BytesOut"]))
        self.assertGreaterEqual(before["PacketsOut"], 5)
        # Not asked for between these and the end.
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.starting(Operator()).call("Disconnect")
        client.wait_for_state("idle")
        self.assertEqual(tred.children(), [])
        wait_until(lambda: tred.get("Totals")["PacketsOut"] >= before["PacketsOut"] + 3, "the last counters")
        self.assertEqual(tred.get("Totals")["Exchanges"], before["Exchanges"])

    def test_what_no_child_sa_takes_is_counted_too(self):
        _, tred, _ = self.establish(tred=USER_PLANE, child={"request-address": "ipv4"})
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        sockets = run(["ss", "-Huan"], namespace=HENB).stdout
        port = int(re.search(rf"{re.escape(HENB_IPV4)}:(\d+)", sockets)[1])
        self.assertEqual(tred.get("Totals")["UnknownSpiDropsIn"], 0)
        run(["/usr/bin/python3", "-c", _STRANGE_ESP, HENB_IPV4, str(port)], namespace=SEGW)
        wait_until(lambda: tred.get("Totals")["UnknownSpiDropsIn"] == 1, "a packet of an unknown SPI")
        before = tred.get("Totals")["NoSaDropsOut"]
        run(["ip", "addr", "add", "10.99.0.1/32", "dev", INTERFACE], namespace=HENB)
        run(["ping", "-c", "1", "-W", "1", "-I", "10.99.0.1", INNER_IPV4], namespace=HENB, check=False)
        wait_until(lambda: tred.get("Totals")["NoSaDropsOut"] > before, "a packet from outside of the selectors")


class ExampleTest(BusTest):
    def test_the_example_of_the_documents_shows_the_tunnel_to_any_user(self):
        self.establish(child={"request-address": "ipv4"})
        done = run(["/usr/bin/python3", ROOT / "docs" / "examples" / "status.py"], user="tred-net")
        self.assertRegex(done.stdout, rf"^established with {SEGW_NAME} at \S+:4500, 10\.210\.0\.1/32\n"
                         r"since \d{4}-.*, AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256, ESP AES_GCM_16_128\n"
                         rf"TrE of {HENB_NAME}: development, certificate until \d{{4}}-")
