"""Words that error messages are made of, and the test that tells them from what a person typed.

The list is closed and written by hand: English function words, the verbs and nouns of software messages, the usual names
of columns, headers, formats and products, and the words of business that the catalogue knows as values.  It decides only doubtful places (``user <word>``, quoted text): a word
missing here costs a readable message, a word too many costs nothing but what that word would reveal.
"""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.contract.choices import WORDS as BUSINESS_WORDS

_WORDS: Final = """
a abort aborted about above absent accept accepted access accessed account accounting across action activate activated
activation active activities activity actual add added adding address addresses admin administrator after again
against age agent aggregate aiohttp alembic alert algorithm alias all allow allowed alpha already also always an
analytics and angular annotated annotation anonymous ansible any anyone apache api app appears append appid
application apply approval approve approved archive archived are area arg argument arm array arrived artifact as ascii
asgi asset assigned assignment associated async asynchronous at attach attached attachment attempt attempted
attempting attribute audience audio audit auditor auth authenticate authenticated authentication authority
authorization authorize authorized auto autocommit automatic available avatar await awaiting aware aws axis azure
babel back backend backfill backup bad badge bak balance balancer ban banned banner bar base based bash basic batch be
bean bearer beat because been before behavior behaviour behind being below beta between beyond big bill billed billing
bin binary bind binding bit blacklist blacklisted blank blob block blocked blue body book bookmark bool boolean boost
boot bot both boto boto3 bound boundary box branch bridge broken broker browser bucket buffer bug build builtin bulk
bundle bus business busy but button by byte cache cached calendar call callable callback called caller camera can
cancel canceled cancelled cannot capacity card cart case cat catalog catalogue categories category cause caused cdn
celery cell cer cert certbot certfile certificate cfg chain change changed channel char character charge charset chart
chat check checked checkout checksum child children choice chunk cipher circuit circular city class classes cli click
client clientid clock clone close closed closing cloud cluster cmd code codec collation collection collector color
colour column com command comment commit committed common compact company compare comparing compatible compile
compiled compiler complete completed component compression compute concurrent condition conf config configuration
configure configured confirm confirmation confirmed conflict conn connect connected connection connector consent
console constraint constructor consumed consumer contact contain container containerid content context continue
contract control controller convention conversion convert cookie cookiejar copied copy core coroutine corrupt
corrupted cors could count counter country coupon cpu crash create created creating creation creator credential credit
cron cross crt csr csrf css csv currency current currently cursor custom customer daemon dag dash dashboard data
database dataclass dataset datasource datatype date datetime day db de deactivated dead deadline deadlock debug
decimal declared declares declined decode decoded decoding decorator decrypt default deferred defined definition delay
delegated delete deleted deleting deletion delimiter delivered delivery denied deny dep department dependencies
dependency deploy deployment deprecated depth description descriptor deserialize desktop destination detach detail
detected dev device dialect dict dictionary did differ different digest dimension dir direct directive directory
disable disabled disallowed discarded disconnect disconnected discount discovery disk dispatch dispatcher display
distinct distribution div django dns do doc docker document does doesn dom domain don done dot double down download
draft driver drop dropped dropping dry dtype dump duplicate duplicated duration dynamic each easy echo edge edit
edited editor effective eg either elastic element eligible else email embedded emit emitted employee empty enable
enabled encode encoded encoding encrypted encryption end ended endpoint engine enough enrolled enrollment ensure
entered enters entities entity entries entry entrypoint enum env environment epoch equal error escape etag etc eval
evaluate even event every everyone example exceed exceeded except exception exchange exclude exec executable execute
executed execution executor exhausted exist existing exit expand expect expected expecting experience expire expired
expiring expiry explicit explore export exported exporter exporting expose expression ext extension external extra
extract facade facing factory faculty fail failed failing failure faker fallback false fastapi fatal favicon fd
feature feed fetch field file filename filter final find finish finished firebase firefox first fixture flag flaky
flask flavor float floating flow flush folder follow followers following font foo for forbidden force foreign form
format formatted found fragment frame framework free freeze frequency friendly from front ftp full fullname function
further future gateway gauge gave gcp general generate generated generator generic get getting git github gitlab given
global go goes google got grafana grant granted graph green grid group groupid grpc guard guest guid guide gunicorn
gzip handle handled handler handshake happened has hash hashed hashes have haven having hdfs header heading headline
health heap heartbeat height hello help helper her here hex hidden hierarchy him his history hit hive holder home hook
horizon host hosted hostid hostname hour however hr html http hub human hung icon id identical identification
identified identifier identity idle idp ids ie if ignore ignored illegal image impala impersonate impersonated
impersonation implement implementation import imported impossible improper in inactive include included incoming
incomplete inconsistent incorrect index indexes indices individual info information inherit ini init initial
initialize initialized injected inline inner inode input insert inserted inside inspect inspector install installed
instance instead insufficient int integer integration integrity intent interaction interface internal interpreter
interrupted interval into invalid invalidated inventory invitation invite invited inviting invocation invoice invoke
invoked ios ip ipv is isn issue issued issuer it item iterable iterator its itself jar java javascript jinja job jobid
join joined joining journal journey json jupyter just jwt kafka keep kerberos kernel key keyfile keyring keystone
keyword killed kind kube kubernetes kwargs label lacks land lang language laravel large last latency later latest
latitude launch layer layout lazy ldap lead leader leading leaf lease least leave left legal length less let level lib
library licence license life lifespan lifetime like limit limited limiter line link linked linux list listed listen
listener literal live load loaded loader loading local locale localhost localized location lock locked locking lodash
log logged logger logging login logo logons logout long longer longitude look lookup loop lose lost low lower mac
machine macos made mail mailbox mailer main maintenance make malformed malware manage managed management manager
mandatory manual many map mapped mapper mapping mariadb mark markdown marked mask master match matched matches
matching matplotlib matrix max maximum may mcp md me mean measure media medium meeting meets member membership memory
mentioned menu merchant merge merged message meta metadata method metric mfa middle middleware migrate migrated
migration mime min minimum minute mirror miss missed missing mixed mixin mkdir mobile mock mode model moderator
modified modify module mongo monitor monitoring month more most mount mountpoint move moved msg multi multipart
multiple must mutable mutex my mysql name named namespace narrow native navigation need needed negative negotiated
neither nested net network never new next nfs nginx nil no nobody node nodeid nodejs nonce none nonexistent nor normal
not note notice notification notified notify ntlm null nullable num number numeric numpy oauth object observed
observer occurred occurs octet odd of off offer offline offset ok old older omit on onboarding once one online only op
open opened openid opening openssl openstack operand operation operational operator ops opted option optional or
oracle order org organisation organization origin original orm orphan otel other otp our out outdated outer output
outside over overflow overlap override overview overwrite own owned owner ownership package packet padding page paid
pair pandas panel parallel param parameter parent parse parsed parser parsing part partial participant partition party
pass passed passive passphrase passwd password past patch path patient pattern pay payee payer payload payment peer
pem pending per percent performed perhaps period permanent permission permitted persist persisted persistence
persistent person personal phase phone picture pid ping pinned pip pipe pipeline pixel pk place placeholder plain plan
planner platform play please plug plugin png pod point pointer policies policy poll pool pop port portal position
positional posix post postgres postgresql power pre preference prefix premium prepare prepared presence present
presented preview previous price primary principal print priority privacy private privilege privileged probe problem
proc procedure proceed process processed processing prod producer product production profile profiling program
progress project prometheus promoted prompt proof propagate properly properties property protected protocol provide
provided provider provisioning proxy prune psql public publish published publisher pull purchase purge purged push put
py pyc pydantic pytest python qos quantity queries query querying queue queued quick quit quota quote rabbitmq race
rails raise ran random range rate ratings ratio raw reach reached reaches react reactivated read readable reader
readonly ready real realm realtime reason rebase rebuild receipt receive received receiver receiving recent recently
recipient reconnect reconnecting record recorded recover recovery recursion recursive red redirect redirected redis
reduce reduced ref refer reference referenced referer referrer refresh refresher refund refused reg regarding regex
region register registered registration registry regular reject rejected rejoin related relation relationship release
reload remained remaining remains remember remind reminder remote remove removed removing rename render rendered renew
renewal renewed rental reopen reorder repair repeated replace replaced replay replica replication reply repo report
reporter reporting repository reputation request requested requester requestid requesting require required research
reservation reserved reset resize resolution resolve resolved resolver resolving resource respond responded response
responsible rest restart restarted restarting restore restricted restrictions result resume retention retired retries
retrieve retrieved retry retrying return returned returning reverse revert reviewed reviewer revision revoke revoked
rfc right role rollback root rotate rotation round route router routing row rpc rst ruby rule run runner running
runtime safe sale same saml sample sampler sandbox sanitize save saved scalar schedule scheduled scheduler schema
scheme scope score screen script scroll sdk search second secondary secret section secure security see seed seems
segment select selected selection selector selenium self semaphore send sender sending sensitive sent sentinel sentry
sequence serial serialization serialize serialized serializer served server service serving session sessionid set
setter setting setup several shape shard share shared sharing sheet shell ship shipment shop shopper short should show
shown shuffle shutdown side sidecar sign signal signature signed signin signing signout signup silence silent similar
simple since single sink site size skip skipped skipping slack slash sleep slice slot slow slug small smtp snapshot so
socket some something sort source space span spark spec special specific specification specified split spool spring
sql sqlite src ssh ssl stack staff stage staging stale standard start started starting stat state statement static
statistics statsd status stderr stdin stdout step still stock stop stopped stopping storage store stored stories story
str stream strict string strip stripe struct structure student style sub subclass subject submit submitted subnet
subscribe subscriber subscription subset subsystem success successful successfully such sudo suffix suite sum summary
super superset superuser supervisor supplied support supported suppressed suspended svc svg swagger switch symbol
symlink sync synced synchronization syntax sys system table tablespace tag tail take taken tar target task taskid
taxonomy tcp team telemetry tempfile template temporary tenant tensor term terminal terminate terminated terraform
test tester text than that the their them theme then there therefore these they thing think this thread three
threshold throttle through thumbnail tick ticket tied tier time timed timeout timestamp timezone tiny tip title tls
tmp to today together toggle token tomcat toml too tool top topic torch total touch trace traceback track traffic
trail trailing transaction transfer transferred transform transient transition translation transport traversal tree
trial tried tries trigger triggered trim true truncate truncated trust trusted try trying tuple turn twice two txt
type typing udp ui uid unable unauthenticated unauthorized unavailable unbound uncaught unchanged unclosed undefined
under undo unexpected unicode unified uninstall union unique unit unknown unless unlike unlock unlocked unmatched
unpack unreachable unread unregistered unresolved unset unsigned unsubscribed unsupported until unused unverified
unzip up update updated updater updating upgrade upload uploaded upper upsert upstream uptime uri url usage use used
user userid userinfo username using usr utc utf util uuid val valid validate validation validator value var variable
variant vary vault vector vendor venv verbose verification verified verifies verify version vertex via video view
viewer violated violates violation virtual virtualenv visibility visible visit visited visitor vlan vm volume votes
voucher vs wait waiting wallet want wanted warn warning was wasn watch way we web webdriver webhook webpack webserver
website webview week weight well were werkzeug what wheel when where whether which while white whitelist who whole
whose why wide widget width wifi wiki wildcard will window wishlist with withdraw withdrawal within without won word
work worker workflow workload worksheet workspace world would wrap wrapper writable write writer written wrong wsgi
www xcom xhr xlsx xml xmlrpc xpath yaml yarn year yes yet yield yml you your zero zip zone zookeeper
"""

_KNOWN: Final = frozenset(word + ending for word in {*_WORDS.split(), *BUSINESS_WORDS} for ending in ("", "s"))

_PIECE: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\x00-\x7f]+")
_FOREIGN: Final = re.compile(
    r"[^\w\s.,:;/()\[\]{}<>*|'\"`=&-]|\d{4}|(?i:[bcdfghjklmnpqrstvwxz]{7})"
)  # no word has these
_ENDINGS: Final = "tion tions ment ments ing ings ed able ible ity ities ness ly ance ence ship izer ful less"
_ENGLISH_ENDINGS: Final = tuple(_ENDINGS.split())
_SHORTEST_STEM: Final = 3
_SHORT: Final = 2
_LONGEST: Final = 80


def is_wordy(text: str) -> bool:
    """Say whether ``text`` consists of words that messages are made of: ``read_only``, ``UserSerializer``, ``utf-8``.

    Numbers up to three digits may stand between the words, and one unknown piece of one or two letters.  A text without
    a single known word is never wordy.
    """
    if text.islower() and text.isalpha() and text.isascii():
        return _is_word(text)
    if len(text) > _LONGEST:
        return False
    known = unknown = 0
    for match in _PIECE.finditer(text):
        piece = match[0]
        if _is_word(piece):
            known += len(piece) > 1 or piece == text
        elif not piece.isdigit():
            unknown += 1 if len(piece) <= _SHORT else 2
            if unknown > 1:
                return False
    return known > 0 and _FOREIGN.search(text) is None


def _is_word(piece: str) -> bool:
    lowered = piece.lower()
    if lowered in _KNOWN:
        return True
    if piece != lowered:
        return False  # capitalised, it may be a name: Foraver
    return piece[_SHORTEST_STEM:].endswith(_ENGLISH_ENDINGS)
