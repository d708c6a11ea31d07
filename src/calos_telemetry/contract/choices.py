"""Closed vocabularies of ordinary business software: what a choice may be without saying anything about a person.

Codes are the current ISO lists (4217 currencies, 3166-1 countries, 639-1 languages). `STATES` and the words below it are
written by hand: a value is accepted where it is one of them or is put together from a few of them (``card_declined``).
"""

from __future__ import annotations

import re
from typing import Final

_CURRENCIES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XCD XCG XDR XOF XPD XPF XPT XXX YER ZAR ZMW ZWG
"""
_CRYPTO = """
ADA ALGO APT ARB ATOM AVAX AXS BAT BCH BCD BNB BSV BTC BTG BUSD CAKE CHZ COMP CRO CRV DAI DASH DGB DOGE DOT EGLD ENJ
EOS ETC ETH FIL FLOW FTM GRT HBAR ICP INJ KSM LINK LRC LTC LUNA MANA MATIC MKR NANO NEAR NEO OMG ONE OP PEPE POL QTUM
RUNE RVN SAND SHIB SNX SOL STETH STX SUI SUSHI TON TRX TUSD UNI USDC USDP USDT VET WAVES WBTC XAUT XEM XLM XMR XRP XTZ
XVG YFI ZEC ZIL ZRX
"""
_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
_LANGUAGES = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki
kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no
nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te
tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_LOCALES = """
ar-AE ar-EG ar-SA bg-BG bn-BD ca-ES cs-CZ da-DK de-AT de-CH de-DE el-GR en-AU en-CA en-GB en-IE en-IN en-NZ en-SG en-US
en-ZA es-AR es-CL es-CO es-ES es-MX es-PE et-EE fa-IR fi-FI fil-PH fr-BE fr-CA fr-CH fr-FR he-IL hi-IN hr-HR hu-HU id-ID
it-CH it-IT ja-JP ko-KR lt-LT lv-LV ms-MY nb-NO nl-BE nl-NL nn-NO pl-PL pt-BR pt-PT ro-RO ru-RU sk-SK sl-SI sr-RS sv-FI
sv-SE sw-KE ta-IN te-IN th-TH tr-TR uk-UA ur-PK vi-VN zh-CN zh-HK zh-TW
"""
_US_STATES = """
AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA
RI SC SD TN TX UT VT VA WA WV WI WY
"""
_STATES = """
abandoned aborted absent accepted acknowledged activated activate active actionable added admitted allowed amended
applied approved archived arrived assigned attached attempted authenticated authorized authorised available awaiting
away backordered banned blocked booked bounced broken built busy cancelled canceled captured change changed charged
charging chargeback checked checking clean cleared clicked closed closing collected committed complete completed
completing confirmed conflict connected connecting connect continue converted converting copied created creating
credited critical current damaged dead declined deactivated degraded deferred delayed delete deleted deleting delivered
delivering denied deployed deploying deprecated detached deprecate disabled disconnected discontinued dispatched
disputed down downloaded downloading draft dropped due duplicate edited editing effective empty enabled ended enqueued
entered error errored escalated estimated exceeded executed executing exists expired expiring exported extended external
failed failing failure fair fatal faulted final finalized finished fixed flagged forbidden forwarded found fraudulent
free frozen fulfilled full funded future general good granted healthy held hidden hold idle ignored imported in
inactive incomplete info initial initialized initiated installed installing insufficient internal invalid invited
invoiced issued joined labeled left linked live loaded loading locked lost major mandatory manual matched merged minor
missed missing mixed modified moved mute muted never new no none normal not offline ok okay on online off open opened
optional ordered orphaned out outdated overdue owned packed paid parked partial partially passed past pause paused
payable pending picked pinned planned posted preparing presented preview private processed processing produced promoted
prohibited provisioned provisioning public published pulled pushed queued read ready rebuilding received recorded
recovered redeemed redirected redirecting refunded refused registered registering rejected released removed renamed
renewed reopened replaced replied reported requested required requires reserved reset resolved restored restricted
resumed retired retry retrying returned reversed reverted reviewed reviewing revoked rolled running safe sandbox
scheduled sealed sealing secure seen selected sending sent settled shared shipped shipping signed signing skipped sleep
sold solved stale standby started starting starred stopped stopping stored submitted subscribed succeeded success
successful suspended suspicious synced syncing temporary terminated tested testing timeout timed transferred
transmitted trashed trial trialing triggered unassigned unauthorized unavailable unblocked unchanged unconfirmed
undeliverable undelivered under unfulfilled unhealthy unknown unlinked unlisted unlocked unpaid unprocessed
unpublished unread unreachable unresolved unspecified unstable unsubscribed untested unused unverified up updated
updating upcoming upgraded uploaded uploading used valid validated validating verified verifying verify viewed visible
void voided waiting warm warning won withdrawn working yes
"""
_NOUNS = """
account ach action activity actor ad address admin administrator agent alert album all amount android answer api app
apple application approval area array article asset attachment attribute audio audit auth authentication author auto
automatic automation aws back backup badge bank banking banner bar barcode base basic batch billing binary block blog
blank board body book booking boolean boot bot box branch brand browser budget bug build bulk business button byte
calendar call campaign cancel capture card cart case cash catalog category cell channel character charge chart chat
check checkout checkbox checking child choice circle city claim class classic click client cloud code codespace
collaborator collection color column comment commission commit community company component computer condition config
configuration connection consumer contact contain container content contract contributor control conversation cookie
copy core corporate cost count counter country coupon create credential credit cron currency custom customer cycle daily
dashboard data database dataset date datetime day debit default delivery department deployment deposit description
design desktop detail developer device dialog digital dimension direct directory discount discussion dispute display
distribution doc docker document domain dot double download driver duration dynamic ecommerce edge edit education
electronic element email emoji employee employer end endpoint engine enterprise entity entry enum environment equal
estimate event example exception exchange exclude expense experiment export expression extension failed family fax
feature fee feed feedback field file filter first fiscal flag flat float flow folder follow font food footer force fork
form format forum frame front function fund funding game gateway generic gift git github gitlab global google government
gps graph green grid gross group guest guide handler hardware hash head header heading health help hero high history
home hook host hotel hour hourly house html http https icon id identifier identity image immediate import inbound
inbox include income index individual industry input insert inspection instance instant instruction insurance integer
integration interest interface internal international internet interval inventory investment invitation invite invoice
ios issue item job journal json jwt keyboard keyword kind kyc lab label lambda landing language large last latest layer
layout lead lease ledger left legal lesson letter level library license like limit line linear link linux list listing
load loan local location log login logo long low loyalty machine mail mailbox main maintenance manager manual map market
marketing markdown marketplace master match max media medical medium meeting member membership memory menu merchant
merge message meta metadata meter method metric middle migration milestone min mobile mode model moderator modifier
module money month monthly more mortgage motion mouse movie multi multiple music mutation natural navigation net
network news newsletter node non note notice notification npm null number oauth object offer office one operation
operator option order organic organization organisation origin other outbound outgoing output overtime owner p2p
package page panel paragraph parent part participant partner party pass password patch patient payee payer payment
payout payroll pdf pending people percent percentage performance period permanent permission person personal phone photo
physical pickup picture pin pipeline place plain plan plant platform player plugin point policy poll pool popup port
portal portfolio post postal power prepaid premium preset price primary print priority privacy private pro problem
procedure process product production professional profile program project promo promotion property proposal provider
proxy public publisher pull purchase pusher push python quality quantity quarter quarterly query question queue quick
quiz quote radio random range rate rating raw reaction reason receipt recipient record recording recurring redirect
reference referral refresh refund region register registration regular relation relative release reminder remote
renewal rent repair repeat reply report repository representative request reservation reset resource response rest
restaurant result retail return revenue review reward ride right role rolling room root route router row rule run
salary sale sales same sample savings scan schedule scheme school scope score screen script search season second
secret section secure security segment select self seller semester send sender sensor series server service session set
setting settings setup shape share shift shipment shipping shop short sign signature signup simple single site size sku
slack slide small smart sms snapshot social software sort source space special sponsor spot square ssl staff stage
standard start starter state statement static station status step stock stop storage store stream street string strip
stripe student style subject submission subscriber subscription summary super supplier support survey swap switch
symbol sync system table tablet tag target task tax team tech template tenant term terminal test text theme third
thread three thumbnail ticket tier time timer timestamp tip title to toggle token tool top topic total tour trace track
tracking trade traffic training transaction transfer transit translation transport travel trigger truck trust twilio
two type udp tcp unit university update upload upgrade uri url usage user utility validation value variable vector
vehicle vendor venue version vertical video view virtual visit visitor voice volume voucher wallet warehouse watch web
webhook website week weekly weight wide widget wifi window windows wire wired wireless withdrawal word work workflow
workspace write xml year yearly zip zone
accountant advisor advocate analyst architect assignee boss buyer ceo cfo chair chairman chairperson chief consultant
coordinator cto dispatcher editor founder inspector landline lawyer manager marketer officer partner planner president
principal programmer recruiter researcher secretary shareholder specialist supervisor technician trainee trainer
treasurer trustee viewer voip worker adult suspect risky needed
erc20 erc721 erc1155 bep20 trc20 s3 oauth2 saml oidc sso totp hotp webauthn fido passkey magic mfa otp u2f lyft uber
taxi atlassian
"""
_MORE_NOUNS = """
abuse accelerate accessory accrual actual addition adjustment advance advertiser affiliate after aggregate airport
aisle alarm alias allocation alpha alternate alternative always analog analysis analytics anchor angle animation
annotation announcement anonymous any appointment approver archive arrival assembly assessment assignee assignment
assistant association async asynchronous attack attendee attraction auction aurora authority autocomplete autosave
available avatar average award azure bacteria baggage bare basis beacon bearer bed before behavior beta bill biometric
bitbucket black blocker bluetooth bold bonus bookmark boost bottom bounce bound boundary breakfast bridge brief
broadband broadcast broker bucket buffer bullet bundle bus buyer by bypass cab cabin cable cache caller camera
capability capacity caption car care cargo carousel carrier cascade casual celsius center central certificate
certification chain chapter charter chassis checkin checklist checkpoint checksum chip chunk cipher citizen civil
clause clearance clipboard clone close cluster coach coin collapse collect collector collision colour combined combo
command commercial compact compare comparison compatibility completion compliance composite compound compressed
conference confidential confirm conflict console constant constraint construction consultant consumption contest
context continuous conversion copilot copyright corner correction counterparty courier course court cover coverage cpu
crash crawler creator crew crime cross crypto csv cube current cursor cut damage danger dark daytime deal dealer
decimal decision declaration decline deep delivered delta demand demo dental departure dependency depth
deserialization destination detached diagnosis diagram difference digest dinner disability disaster discovery disk
distance district division dns dock doctor doctype donation donor door downgrade downstream downtime drag drawdown
drawer drive drop dropdown drug dual dummy duty eager early earning east easy economy elapsed electric eligible embed
embedded embedding emergency empty encrypted encryption energy engagement enquiry enrollment ens equipment equity
escalation escrow essential ethernet evaluation evening exact exam excel excess execution executive exempt existing
exit expert expiration expiry explicit explore exposure express external extra facebook facility fahrenheit fallback
false fan fare fast fatal favorite favourite fiat fiber figure finance financial fingerprint finish fire firewall
firmware fitness fix fixture flash fleet flight floor flyer focus following football forecast foreground foreign
foundation fraction fraud freelance freight friend friendly fuel fulfillment full functional fuse gallery gap gauge
general generation geo geometry gig go goal gold good goods grace gradient grant graphql gray ground growth guardian
gym half hard hdmi hdr headless headline healthcare heat hidden highlight hint histogram hit hls holder holiday
honeypot horizontal hospital hosted hotfix hotspot household housing hub human hybrid hyperlink identification idle
illustration impact impersonation implicit impression improvement inactivity incoming incremental incubator
infrastructure ingredient ingress inline inner innings inquiry inside insight instagram install installer installment
institution instructor instrument intake intent interactive intermediate interview introduction invalid irregular
island iso isolated issuer italic iteration java javascript jpeg jpg junction junior jurisdiction karma kernel key
keypad king kit kitchen knowledge kubernetes lane laptop latency launch law lazy leader leaderboard league leather
leave legacy lender length liability licence licensed life lifecycle lifetime lift light lightning limited linked
linkedin liquid listen literal live lobby lock locker lodging logic logistics lookup loop lossless lounge lunch mac
macro mailed mainnet makeup male mall malware managed mandate marker markup mask material math matrix maven maximum
meal measure measurement mechanical memo mention mentor merchandise mesh micro microphone microsoft mid military mine
minimum minor mint mirror miss missing mission mix mock moderate modern monitor mono morning most motor mount mp3 mp4
multipart multiplayer museum mutual native nav near negative neighborhood nested neutral newest next night nightly
nominal nonprofit normal north notebook now npc nuget numeric nurse occupation oceanic octet oldest omnichannel
onboarding once onetime only opportunity optimal optimized orange organizer orientation orphan outage outcome outdoor
outer outlook overdraft overlay override overview packet pad paid paint pair palette paper paperless parallel parcel
parking parser partial particle passenger passport paste path pattern pause peak peer penalty pension perfect
peripheral permit perpetual persistent pet pharmacy philanthropy phishing phrase pick pie pilot ping pinned pitch
pixel placeholder plaintext planet planned playback playlist plot plus png podcast poi pointer polygon polyline
popular population position positive possible postpaid potential preauth preauthorization precise predefined
prediction preference prerelease presale prescription presence presentation press pressure prevention previous prime
primitive principal printer prior prize probe procurement professor progress progressive projection prompt proof
propagation proportional prospect protected protection protein provision proximity psp publication pulse punch purple
purpose quantitative quarantine quota race rack radius rail rain rare ratio reach reactive reader real realtime rebate
rebound recall recent recommendation recommended recovery recurrence recycle red redemption reduced reel refer
refinance refugee regex registrant registrar registry regression regulatory rejection related relationship relay
reload remaining remittance remove renderer replacement replay replica replication reporter reporting reputation
research reseller resident residential resize resolver resort responder responsible restore restriction retention
retrieval reversal revision revocation rich rider ringtone risk rival road robot rollback roster rotation round
rounded routine rpc rss ruby runner runtime runway rust saas safety sail sanction sandbox satellite saver scalar scale
scanner scenario scene scholarship science scoped scout scroll seasonal seat secondary sector seed seeder selection
semantic senior sensitive sentence sentiment sequence sequential serial serverless settlement severe sewage shadow
shared sharing sheet shelf shell shipper shoe shot show shuffle shutdown shuttle sick side sidebar signal signer
silver similar simulation simulator skill skipped slot slow smoke smtp snippet snow soccer soft solar sold solid
solution song sound south spa spam span spare spatial speaker specific specification speech speed spend split spoiler
spoken sport spread spreadsheet spring sprint sql stack stadium staged staging stake stakeholder stall stamp standby
star startup statistic stereo sticker storefront story strategic strict strike stroke strong structure studio study
sub subdomain subfolder sublease submit subnet subtask subtitle suburb success suggestion summer sunrise sunset
supervisor supply surcharge surface surround suspension svg swagger sweep swimming synchronous synthetic tabular tail
tap tape teacher technical teen telegram telephone television temperature temporal tentative terms territory tertiary
testnet texture theater threat threshold throughput thumb tiff tight tile tls toast toll tone toolbar tooltip torrent
touch touchscreen tourism town toy tracker trailer trait transcript transcription transform transition transparent
trash treasury treatment tree trend triage triangle tribe trim trip true trunk tts tunnel turn tutor tutorial tweet
twin twitter typing ultra unary unauthenticated underline unified uniform unique unknown unlimited unmanaged unsigned
unstructured until upcoming upstream urban urgent usb username utc uuid vacation vaccine vacuum validator validity vat
vault vegan vegetarian verb verification veteran villa village vip virus visa visibility visual vote voter vpn
vulnerability vulnerable wait waitlist wake walk wall wallpaper wan warranty waste water wav wave weak wearable
weather webinar weekday weekend welcome west whatsapp wheel whitelist wholesale wiki wind winner winter wish wishlist
withholding witness woman wood workbook worker workforce world worldwide worst wrap written xls yellow yield young
youtube zero zipper zoom
asc desc ascending descending safari chrome firefox opera chromium ios ipados macos pos kiosk takeaway dine eat portrait
landscape fortnightly till cellular retina webp avif xlsx ods
"""
_MEDIA_TYPES = """
application/json application/xml application/pdf application/zip application/octet-stream application/x-www-form-urlencoded
application/javascript application/msword application/csv application/graphql application/ld+json application/problem+json
multipart/form-data text/plain text/html text/css text/csv text/xml text/markdown text/calendar text/event-stream
image/png image/jpeg image/gif image/webp image/svg+xml image/tiff image/heic audio/mpeg audio/mp4 audio/wav audio/ogg
audio/webm video/mp4 video/webm video/quicktime video/mpeg
"""
_PAYMENT_METHODS = """
ach account_credit affirm afterpay alipay amazon_pay amex american_express apple_pay bacs bancontact bank bank_account
bank_transfer banktransfer becs bitcoin blik boleto bnpl card card_present cash cash_on_delivery cashapp cheque check
check_by_mail cod credit credit_card creditcard crypto debit debit_card debitcard diners diners_club direct_debit
discover ec_cash eft elo eps financing finance free gift_card giftcard giropay google_pay ideal installments
instant_transfer interac invoice jcb klarna konbini link loyalty maestro mastercard master_card mobile mobile_money mobilepay
mpesa multibanco neteller net_banking netbanking none offline on_account online oxxo p24 paypal paysafecard pix points
prepaid purchase_order revolut sepa sepa_debit sepa_credit skrill sofort store_credit swift swish trustly twint unionpay
upi venmo vipps visa voucher wallet wechat_pay wechat wire wire_transfer zelle other unknown
"""

CURRENCIES: Final = frozenset(code.lower() for code in (_CURRENCIES + _CRYPTO).split())
COUNTRIES: Final = frozenset(_COUNTRIES.split())
LANGUAGES: Final = frozenset(_LANGUAGES.split()) | frozenset(_LOCALES.split())
US_STATES: Final = frozenset(code.lower() for code in _US_STATES.split())
MEDIA_TYPES: Final = frozenset(_MEDIA_TYPES.split())
PAYMENT_METHODS: Final = frozenset(_PAYMENT_METHODS.split())
STATES: Final = frozenset(_STATES.split())
WORDS: Final = STATES | frozenset((_NOUNS + _MORE_NOUNS).split())
"""The words that a composed value may consist of, beside their regular derivations (`is_software_word`)."""

_DERIVED: Final = re.compile(r"[a-z]{4,}(?:able|ible|ed|ing|ment|ments|tion|tions|ness|only)")
_PREFIXED: Final = re.compile(r"(?:un|in|non|de|re|pre|sub|auto|multi|over|under|cross|micro)([a-z]{3,})")
_NUMBERED: Final = re.compile(
    r"\d{1,2}[a-z]{0,3}|[a-z]{1,4}\d|(?:u?int|float|bytes|char|sha|utf|base)\d{1,3}"
)  # 2fa, ipv4, uint256
_NAMES: Final = frozenset(
    [
        "mohammed",
        "mohamed",
        "muhammed",
        "ahmed",
        "alfred",
        "manfred",
        "wilfred",
        "winifred",
        "mildred",
        "sterling",
        "fleming",
        "browning",
        "manning",
        "harding",
        "keating",
        "golding",
        "downing",
        "cushing",
        "rowling",
        "spalding",
        "redding",
        "fielding",
        "harting",
        "clement",
    ]
)


def is_software_word(word: str) -> bool:
    """Say whether a lower-case word is one of these, or one of their plurals, participles and other derivations."""
    if word in WORDS or word.removesuffix("s") in WORDS:
        return True
    if _DERIVED.fullmatch(word) is not None:
        return word not in _NAMES  # people are called so too
    prefixed = _PREFIXED.fullmatch(word)
    return (prefixed is not None and prefixed[1] in WORDS) or _NUMBERED.fullmatch(word) is not None
