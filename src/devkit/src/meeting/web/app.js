// The user interface around the connection. Text from outside is shown as text, never as markup.
'use strict';

document.addEventListener('DOMContentLoaded', () => {
    const place = meetingPlace(location.pathname);
    const at = id => document.getElementById(id);
    if (!place.name) {
        startPage(at);
        return;
    }
    const token = tokenOfAddress(location);
    window.APP = { store: appStore(token) };
    roomPage(at, place, token);
});

/**
 * The part of Jitsi's state that other scripts of its page read: who joins, by the token that the app has read
 * (jitsi-meet of stable-11146, react/features/base/jwt/reducer.ts).
 */
function appStore(token) {
    const user = claimsOf(token || '').context?.user;
    const state = { 'features/base/jwt': token ? { jwt: token, user } : {} };
    return { dispatch: action => action, getState: () => state };
}

/** What a person in the room is: the host by their affiliation, a guest by the id in their token. */
function standingOf(person) {
    if (person.affiliation === 'owner') {
        return 'host';
    }
    return person.id.startsWith('guest:') ? 'guest' : 'member';
}

/** Shows the form for a room's name. */
function startPage(at) {
    at('start').hidden = false;
    at('start').addEventListener('submit', event => {
        event.preventDefault();
        location.assign(`/${encodeURIComponent(at('wanted').value.trim())}`);
    });
}

/** Joins a room and shows it. */
function roomPage(at, place, token) {
    const people = new Map();
    let connection;
    let retries = 0;

    at('room').hidden = false;
    at('title').textContent = place.tenant ? `${place.tenant} / ${place.name}` : place.name;
    document.title = place.name;
    if (token) {
        at('given').textContent = JSON.stringify(claimsOf(token), null, 2);
    }
    for (const [words, address] of [['Sign out', config.tokenLogoutUrl], ['Another room', '/']]) {
        if (address) {
            at('links').append(element('a', words, { className: 'button quiet', href: new URL(address, location.href) }));
        }
    }

    const status = (words, trouble) => {
        at('status').textContent = words;
        at('status').className = trouble ? 'wrong' : '';
    };
    const show = () => at('people').replaceChildren(...Array.from(people.values(), person => {
        const standing = standingOf(person);
        const tile = element('li');
        tile.append(
            element('span', Array.from(person.name)[0].toUpperCase(), { className: 'initial', ariaHidden: 'true' }),
            element('strong', person.own ? `${person.name} (you)` : person.name),
            element('span', standing, { className: `badge ${standing}` }));
        return tile;
    }));

    const connect = () => {
        status('Connecting…');
        connection = new MeetingConnection(config, place, token, {
            joined(person) {
                retries = 0;
                people.set(person.nick, person);
                show();
                if (person.own) {
                    status('You are in the room.');
                }
            },
            left(nick) {
                people.delete(nick);
                show();
            },
            message(nick, words) {
                const row = element('li');
                row.append(element('b', people.get(nick)?.name || nick), words);
                at('chat').append(row);
                while (at('chat').childElementCount > 200) {
                    at('chat').firstElementChild.remove();
                }
                row.scrollIntoView({ block: 'nearest' });
            },
            refused: reason => status(`Refused: ${reason}`, true),
            closed(over) {
                people.clear();
                show();
                if (over) {
                    return;
                }
                if (retries++ < 3) {
                    status('The connection is gone; trying again…', true);
                    setTimeout(connect, 1000 * 2 ** retries);
                } else {
                    status('The connection is gone. Reload the page to try again.', true);
                }
            }
        });
    };

    at('say').addEventListener('submit', event => {
        event.preventDefault();
        const words = at('words').value.trim();
        if (words) {
            connection.sendMessage(words);
            at('words').value = '';
        }
    });
    addEventListener('pagehide', () => connection.leave());
    connect();
}

/** An element with a text in it. */
function element(name, text = '', properties = {}) {
    return Object.assign(document.createElement(name), { textContent: text }, properties);
}
