// Has nothing to do, and so ends.
require('./say.js')('up');
