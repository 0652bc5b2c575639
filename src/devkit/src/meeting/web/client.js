// A small XMPP client in place of lib-jitsi-meet: connects, logs in, joins a room and sends messages.
'use strict';

/** Tenant and room of a URL path, by the rules of Jitsi's client. */
function meetingPlace(pathname) {
    const segments = pathname.split('/').slice(1);
    const clean = text => text.replace(/[:?#[\]@!$&'()*+,;=><"]/g, '');
    const raw = clean(segments.pop() || '');
    const tenant = segments.map(clean).join('/');
    let decoded = raw;
    try {
        decoded = decodeURIComponent(raw);
    } catch {
        // A name with an invalid escape stays as it is.
    }
    const name = decoded.normalize('NFKC').toLowerCase();
    return { tenant: tenant.toLowerCase(), name, node: encodeURIComponent(name).toLowerCase() };
}

/** The token in the page's address: JSON in the fragment, raw in the query. */
function tokenOfAddress(location) {
    const hash = new URLSearchParams(location.hash.slice(1).replace(/\+/g, '%2B')).get('jwt');
    if (hash !== null) {
        try {
            return String(JSON.parse(hash));
        } catch {
            return undefined;
        }
    }
    return new URLSearchParams(location.search).get('jwt') || undefined;
}

/** The claims of a token, unverified; for display only. */
function claimsOf(token) {
    try {
        const base64 = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
        const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
        return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
        return {};
    }
}

/**
 * One connection to one room. Emits `joined`, `left`, `message`, `refused` and `closed` by
 * callbacks.
 */
class MeetingConnection {
    constructor(config, place, token, on) {
        this.domain = config.hosts.domain;
        const muc = place.tenant
            ? config.hosts.muc.replace(/^([^.]+)\./, `$1.${place.tenant.replace(/\./g, '_')}.`)
            : config.hosts.muc;
        this.room = `${place.node}@${muc}`;
        this.nick = Array.from(crypto.getRandomValues(new Uint8Array(4)), b =>
            b.toString(16).padStart(2, '0')).join('');
        this.name = claimsOf(token || '').context?.user?.name;
        this.on = on;
        this.bound = false;
        this.over = false;

        const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
        const prefix = place.tenant ? `/${place.tenant}` : '';
        const url = new URL(config.websocket || `${scheme}//${location.host}${prefix}/xmpp-websocket`);
        url.searchParams.append('room', place.name);
        if (token) {
            url.searchParams.append('token', token);
        }
        this.socket = new WebSocket(url, 'xmpp');
        this.socket.onopen = () => this.open();
        this.socket.onmessage = event => this.receive(event.data);
        this.socket.onclose = () => this.end();
        this.pings = setInterval(() => this.bound && this.send(
            `<iq xmlns="jabber:client" type="get" id="ping" to="${xml(this.domain)}">` +
            '<ping xmlns="urn:xmpp:ping"/></iq>'), 10000);
    }

    sendMessage(words) {
        this.send(`<message xmlns="jabber:client" type="groupchat" to="${xml(this.room)}">` +
            `<body>${xml(words)}</body></message>`);
    }

    leave() {
        this.send('<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>');
        this.socket.close();
    }

    open() {
        this.send('<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" version="1.0" ' +
            `to="${xml(this.domain)}"/>`);
    }

    receive(text) {
        const stanza = new DOMParser().parseFromString(text, 'text/xml').documentElement;
        const handlers = {
            features: () => this.features(stanza),
            success: () => this.open(),
            failure: () => this.refuse(stanza),
            iq: () => stanza.getAttribute('id') === 'bind' && this.join(),
            presence: () => this.presence(stanza),
            message: () => this.message(stanza),
            close: () => this.socket.close()
        };
        handlers[stanza.localName]?.();
    }

    features(stanza) {
        this.send(stanza.querySelector('mechanism')
            ? '<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="ANONYMOUS"/>'
            : '<iq xmlns="jabber:client" type="set" id="bind">' +
              '<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>');
    }

    join() {
        this.bound = true;
        const nick = this.name
            ? `<nick xmlns="http://jabber.org/protocol/nick">${xml(this.name)}</nick>` : '';
        this.send(`<presence xmlns="jabber:client" to="${xml(this.room)}/${this.nick}">` +
            `<x xmlns="http://jabber.org/protocol/muc"/>${nick}</presence>`);
    }

    presence(stanza) {
        const nick = (stanza.getAttribute('from') || '').split('/')[1];
        const type = stanza.getAttribute('type');
        if (type === 'error') {
            this.refuse(stanza);
        } else if (type === 'unavailable') {
            this.on.left(nick);
        } else {
            const byToken = stanza.querySelector('identity > user > name');
            this.on.joined({
                nick,
                name: byToken?.textContent || stanza.querySelector('nick')?.textContent || nick,
                id: stanza.querySelector('identity > user > id')?.textContent || '',
                affiliation: stanza.querySelector('x > item')?.getAttribute('affiliation'),
                own: nick === this.nick
            });
        }
    }

    message(stanza) {
        const body = stanza.querySelector('body');
        if (stanza.getAttribute('type') === 'groupchat' && body) {
            this.on.message((stanza.getAttribute('from') || '').split('/')[1], body.textContent);
        }
    }

    refuse(stanza) {
        this.over = true;
        this.on.refused(stanza.querySelector('text')?.textContent || 'refused without a reason');
        this.socket.close();
    }

    send(text) {
        if (this.socket.readyState === WebSocket.OPEN) {
            this.socket.send(text);
        }
    }

    end() {
        clearInterval(this.pings);
        this.on.closed(this.over);
    }
}

/** Escapes a text for XML. */
function xml(text) {
    const entities = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;', "'": '&apos;' };
    return String(text).replace(/[<>&"']/g, c => entities[c]);
}
