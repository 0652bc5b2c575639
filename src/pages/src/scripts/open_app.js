// Opens the app at once; the button stays for browsers that want to be asked.
location.href = document.getElementById("open").href;
