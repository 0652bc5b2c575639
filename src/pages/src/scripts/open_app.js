// Opens the app at once; some browsers require a click on the button.
location.href = document.getElementById("open").href;
