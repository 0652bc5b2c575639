// The fragment, which no server sees, goes on to the meeting: by the form, or past signing in.
for (const link of document.querySelectorAll("main .links a")) link.hash = location.hash;
for (const form of document.forms) form.action += location.hash;
