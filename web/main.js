/** The editor starts here: builds the app from its parts, opens what was open, and connects to the server. */

import { App } from './ui/start.js';

const app = new App();
void app.start();
